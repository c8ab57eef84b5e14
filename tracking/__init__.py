"""One sweep of a sent queue: who is asked, and what is answered to Camunda."""
