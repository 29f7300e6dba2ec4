"""What can go wrong with a browser, in words that say what to do."""


class BrowserFailed(Exception):
    """A browser could not be started. The message has what Chromium said."""


class BrowserMissing(BrowserFailed):
    """No Chromium was found on this machine."""


class NoRoom(BrowserFailed):
    """The machine's memory takes no further browser."""


class RootInUse(Exception):
    """Another process has its browsers in the directory that a pool was given."""
