"""Where `pnil` begins. Nothing may be imported here before Ctrl-C is taken: to import takes time, and Python answers
Ctrl-C with a traceback until then."""


def run() -> None:
    """The console script."""
    _let_ctrl_c_end_us()
    from projectnil.cli.main import main  # noqa: PLC0415

    main()


def _let_ctrl_c_end_us() -> None:
    """Ctrl-C ends a command at once and in silence. Those that run the platform see to it themselves.

    The launcher that scripts/setup installs has it blocked until here.
    """
    # Built in; `signal`, which wraps it, imports a dozen modules.
    import _signal  # type: ignore[import-not-found] # noqa: PLC0415

    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGINT,))
