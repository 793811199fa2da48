"""What the gateway does unasked, in a process of its own."""

from datetime import timedelta

from nameko.timer import timer

from config.answers import KEPT_FOR
from config.housekeeping import HOURLY, Housekeeping
from config.messaging.events import event_handler
from config.service_database import Database
from gateway.accounts import FAMILIAR_FOR, Accounts, FamiliarAddresses, Sessions
from gateway.models import Answer, GatewayBase, Inbox
from schemas import errors
from schemas.accounts import PATIENT
from schemas.events import read_event

# Who asks where they were signed in can still be told so long.
OVER_FOR = timedelta(days=30)
BATCH = 1000


class GatewayBackground(Housekeeping):
    name = "gateway_background"

    store = Database(GatewayBase, answers=Answer, errors=errors, inbox=Inbox)

    @event_handler("patient", "erased", expected_exceptions=errors.InvalidInput)
    def patient_erased(self, event: object) -> None:
        """Remove the patient's logins, in case the request that erased them did not come so far.

        :raises InvalidInput: when it is no such event.
        """
        patient_id = read_event(event, source="patient", name="erased")["patient_id"]
        self.store.once(lambda transaction: Accounts(transaction).close_for(PATIENT, patient_id))

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
