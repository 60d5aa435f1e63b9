"""What machine code depends on, as a name for the files that hold it. Needs no engine, so the api can ask."""

import platform
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from projectnil.domain.limits import KIB, MIB

# Attributes of wasmtime.Config. Everything AssemblyScript emits is in; proposals that nothing needs are out, since each
# is code a guest could attack.
ENGINE_SETTINGS: dict[str, bool | int | str] = {
    "max_wasm_stack": 1024 * KIB,
    "cranelift_opt_level": "speed",
    "parallel_compilation": False,
    "gc_support": False,
    "shared_memory": False,
    "wasm_threads": False,
    "wasm_component_model": False,
    "wasm_component_model_async": False,
    "wasm_exceptions": False,
    "wasm_function_references": False,
    "wasm_gc": False,
    "wasm_memory64": False,
    "wasm_multi_memory": False,
    "wasm_relaxed_simd": False,
    "wasm_stack_switching": False,
    "wasm_tail_call": False,
    "wasm_wide_arithmetic": False,
    "wasm_custom_page_sizes": False,
}

# Of one instance.
TABLES = 4
TABLE_ELEMENTS = 100_000

# One guest runs at a time; more slots let each of the modules in turn find the slot it left. A slot's memory is a
# reservation of addresses: how much of it a guest may use is the store's limit. Up to the resident part it is kept
# mapped and set back to the module's image, rather than given back to the kernel and faulted in again.
SLOTS = 16
INSTANCE_POOL = {
    "total_core_instances": SLOTS,
    "total_memories": SLOTS,
    "total_tables": SLOTS * TABLES,
    "total_stacks": 0,
    "max_unused_warm_slots": SLOTS,
    "max_core_instance_size": 16 * MIB,
    "max_tables_per_module": TABLES,
    "table_elements": TABLE_ELEMENTS,
    "max_memory_size": 4096 * MIB,
    "linear_memory_keep_resident": 1 * MIB,
    "table_keep_resident": 64 * KIB,
}


@cache
def engine_fingerprint() -> str:
    """16 hexadecimal digits that change with Wasmtime's version, its settings, or the CPU's features."""
    parts = (
        version("wasmtime"),
        repr(sorted(ENGINE_SETTINGS.items())),
        repr(INSTANCE_POOL),
        platform.machine(),
        *_cpu_features(),
    )
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def _cpu_features() -> list[str]:
    # proc(5): one block of `name : value` lines per CPU; x86 says `flags`, Arm says `Features`.
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return [platform.processor()]
    names = ("vendor_id", "model name", "flags", "CPU implementer", "CPU part", "Features")
    return sorted({line for line in lines if line.partition("\t")[0].partition(":")[0].strip() in names})
