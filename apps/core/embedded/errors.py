"""What can go wrong before the platform serves, each said in one sentence a newcomer can act on."""


class StartFailed(Exception):
    """The platform cannot start. Its text is the whole message for the person at the terminal."""
