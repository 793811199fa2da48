"""The audit trail: who did what to whose data, chained so that nothing can be taken away unseen."""
