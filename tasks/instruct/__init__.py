"""`earthloom import earthdial-instruct`: the published instruction data, read row by row, checked, repaired or refused,
and stored as our chips and conversations.
"""

import cyclopts

from tasks.instruct.command import earthdial_instruct

app = cyclopts.App(name="import", help="Bring in data sets of others, checked row by row.", result_action="return_none")
app.command(earthdial_instruct)
