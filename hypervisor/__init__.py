"""What runs on a compute host: worker, host steps, journal, agent, driver facets, and the drivers.

Must not know Django, the database, or any room but `cloud.{errors,context,logging}`. Other rooms may import
`hypervisor.{spec,steps,reports,errors}` and nothing deeper. Read first: `spec.py`, then `steps/__init__.py`,
then `worker.py`; `driver.py` says what a driver promises.
"""
