"""What every driver must do, one suite over all of them. `specs.py` makes guests, `hosts.py` says how a test looks
behind a driver's back."""
