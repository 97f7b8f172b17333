"""Why a promotion was refused or failed."""


class PromotionError(RuntimeError):
    """The message says what was refused or failed, what is served now, and what to do."""
