"""What a function asks of the platform: offered, or refused when it is compiled."""

import httpx

from tests.support.functions import execute, ready, register, wait_compiled

RANDOM = """export function handle(input: string): string {
  const small = new Uint8Array(16);
  let zeros = 0;
  for (let round = 0; round < 20; round++) {
    const bytes = new Uint8Array(65536);
    crypto.getRandomValues(bytes);
    for (let i = 0; i < bytes.length; i++) if (bytes[i] == 0) zeros++;
  }
  crypto.getRandomValues(small);
  crypto.getRandomValues(new Uint8Array(0));
  return `{"zeros": ${zeros}, "small": "${small.toString()}"}`;
}"""


def test_an_import_that_the_platform_does_not_offer_fails_the_compilation(http: httpx.Client) -> None:
    source = """@external("env", "launch")
declare function launch(rocket: i32): i32;
export function handle(input: string): string { return launch(1).toString(); }"""
    details = wait_compiled(http, register(http, source))
    assert details["status"] == "FAILED"
    assert "it imports env.launch, which the platform does not offer" in details["compileError"]


def test_random_bytes_are_random(http: httpx.Client) -> None:
    function_id = ready(http, RANDOM)
    first, second = (execute(http, function_id, {}) for _ in range(2))
    assert first["errorMessage"] is None
    # 20 times 65,536 bytes have 5,120 zeros, give or take 71 (one standard deviation).
    assert 5_120 - 10 * 71 < first["output"]["zeros"] < 5_120 + 10 * 71
    assert first["output"]["small"] != second["output"]["small"]


def test_random_bytes_are_bounded_as_in_a_browser(http: httpx.Client) -> None:
    source = """export function handle(input: string): string {
  crypto.getRandomValues(new Uint8Array(65537));
  return "1";
}"""
    result = execute(http, ready(http, source), {})
    assert result["status"] == "FAILED"
    assert "crypto.getRandomValues fills at most 65,536 bytes a call, not 65,537" in result["errorMessage"]
