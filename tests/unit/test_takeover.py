import socket
from pathlib import Path

import pytest

from projectnil.bootstrap import takeover
from projectnil.bootstrap.data_dir import locked
from projectnil.bootstrap.sockets import listen
from projectnil.bootstrap.takeover import InUse, taken_over
from projectnil.domain.errors import PlatformUnavailable


async def test_an_address_that_is_given_up_is_taken() -> None:
    holder = socket.create_server(("127.0.0.1", 0))
    port = holder.getsockname()[1]
    tries = 0

    def take() -> socket.socket:
        nonlocal tries
        tries += 1
        if tries == 3:
            holder.close()
        return listen("127.0.0.1", port)

    with await taken_over(take) as listener:
        assert listener.getsockname()[1] == port
    assert tries == 3


async def test_a_folder_that_is_not_given_up_is_told_to_be_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takeover, "_PATIENCE_S", 0.1)
    with locked(tmp_path), pytest.raises(InUse, match="is in use by another pnil serve"):
        await taken_over(lambda: locked(tmp_path).__enter__())


async def test_what_will_not_pass_is_told_at_once() -> None:
    tries = 0

    def take() -> None:
        nonlocal tries
        tries += 1
        raise PlatformUnavailable("no such address")

    with pytest.raises(PlatformUnavailable, match="no such address"):
        await taken_over(take)
    assert tries == 1
