"""The doctor: compares the database with itself and with what every host has, says what is wrong, and repairs it.

`manage.py doctor` and the operator's console both call `examine` (look, look again, say) and `repair`. One file per
family of findings; `families.py` lists them. What is safe to do without a person is decided by a finding's code, in the
table that its family declares (`docs/how-to/doctor.md` shows all). It knows every room; no room knows it.

Read `examination.py` first.
"""
