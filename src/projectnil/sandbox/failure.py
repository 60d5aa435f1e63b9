"""How the guest's failure travels inside this package: raised where it is found, turned into a reply once."""

from projectnil.domain.guest_errors import GuestBrokeAbi, GuestError


class GuestFailure(Exception):
    """The guest is at fault."""

    def __init__(self, error: GuestError) -> None:
        self.error = error
        super().__init__(error.describe())


class BrokenModule(GuestFailure):
    """The module is not what the ABI asks for. problem: as in GuestBrokeAbi."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(GuestBrokeAbi(problem))
