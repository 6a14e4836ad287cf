"""The keeper: the loop inside `rqscheduler` that keeps ledger and Redis true."""

from schedules.keeper.keeper import Keeper

__all__ = ["Keeper"]
