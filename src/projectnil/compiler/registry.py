"""Which toolchain serves which language. A new language is a line here, a package and a member of Language."""

from collections.abc import Callable, Mapping

from projectnil.compiler.assemblyscript import AssemblyScript
from projectnil.compiler.toolchain import Toolchain
from projectnil.config import Settings
from projectnil.domain.languages import Language

TOOLCHAINS: Mapping[Language, Callable[[Settings], Toolchain]] = {
    Language.ASSEMBLYSCRIPT: AssemblyScript,
}


def toolchains(settings: Settings) -> dict[Language, Toolchain]:
    """The toolchains `settings.compiler_languages` names, not started yet."""
    return {language: TOOLCHAINS[language](settings) for language in settings.compiler_languages}
