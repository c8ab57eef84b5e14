"""What the tests share: helpers, stand-ins of foreign programs, judges. No test is in here."""
