"""The keeper: writes the ledger, closes what nobody ends, heals, prunes and raises alarms. See `docs/ledger.md`."""

from schedules.keeper.keeper import Keeper
from schedules.keeper.notes import note_next_runs

__all__ = ["Keeper", "note_next_runs"]
