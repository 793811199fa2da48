"""What the gateway does unasked, in a process of its own."""

from datetime import timedelta

from nameko.timer import timer

from config.answers import KEPT_FOR
from config.cache import RENEW_SECONDS
from config.cache_provider import CopiesOf
from config.housekeeping import HOURLY, Housekeeping
from config.messaging.events import event_handler
from config.service_database import Database
from gateway.accounts import FAMILIAR_FOR, Accounts, FamiliarAddresses, Sessions
from gateway.cache import ACCOUNT, CACHE, EVENTS, floors
from gateway.models import Answer, GatewayBase, Inbox
from schemas import errors
from schemas.accounts import PATIENT
from schemas.events import read_event

# Who asks where they were signed in can still be told so long.
OVER_FOR = timedelta(days=30)
BATCH = 1000


class GatewayBackground(Housekeeping):
    name = "gateway_background"

    copies = CopiesOf(CACHE)
    store = Database(GatewayBase, answers=Answer, errors=errors, inbox=Inbox)

    @event_handler("patient", "erased", expected_exceptions=errors.InvalidInput)
    def patient_erased(self, event: object) -> None:
        """Remove the patient's logins, in case the request that erased them did not come so far.

        :raises InvalidInput: when it is no such event.
        """
        patient_id, closed = self._outdate("patient", "erased", event), list[int]()
        self.store.once(
            lambda transaction: closed.extend(Accounts(transaction).close_for(PATIENT, patient_id))
        )
        if closed:
            self.copies.changed(*map(ACCOUNT.format, closed))

    @event_handler("patient", "updated", expected_exceptions=errors.InvalidInput)
    def patient_updated(self, event: object) -> None:
        """:raises InvalidInput: when it is no such event."""
        self._outdate("patient", "updated", event)

    @event_handler("doctor", "registered", expected_exceptions=errors.InvalidInput)
    def doctor_registered(self, event: object) -> None:
        """:raises InvalidInput: when it is no such event."""
        self._outdate("doctor", "registered", event)

    @event_handler("doctor", "updated", expected_exceptions=errors.InvalidInput)
    def doctor_updated(self, event: object) -> None:
        """:raises InvalidInput: when it is no such event."""
        self._outdate("doctor", "updated", event)

    @event_handler("doctor", "schedule_changed", expected_exceptions=errors.InvalidInput)
    def doctor_schedule_changed(self, event: object) -> None:
        """:raises InvalidInput: when it is no such event."""
        self._outdate("doctor", "schedule_changed", event)

    @timer(interval=RENEW_SECONDS)
    def vouch_for_copies(self) -> None:
        """While this process lives, it hears of every change; with it, the copies end."""
        self.copies.renew()

    def _outdate(self, source: str, name: str, event: object) -> int:
        """The record that the event is about, of which no copy counts from now on."""
        data = read_event(event, source=source, name=name)
        record_id: int = data[f"{source}_id"]
        self.copies.changed(*floors(EVENTS, source, name, record_id))
        return record_id

    @timer(interval=HOURLY, eager=True)
    def forget_old_sign_ins(self) -> None:
        """A batch at a time, each in a transaction of its own, so that nobody waits for it."""
        now = self.clock()
        self.store.transact(
            lambda transaction: Accounts(transaction).forget_unfinished(before=now - KEPT_FOR)
        )
        while self.store.transact(
            lambda transaction: Sessions(transaction).forget_some(
                before=now - OVER_FOR, limit=BATCH
            )
        ):
            pass
        while self.store.transact(
            lambda transaction: FamiliarAddresses(transaction).forget_some(
                before=now - FAMILIAR_FOR, limit=BATCH
            )
        ):
            pass
