"""`earthloom weights import` and `export`: published weights into our layout, and back, bit by bit.

Streamed: the model is never held. A folder is written whole or not at all.
"""

import cyclopts

from tasks.weights.command import export_weights, import_weights

app = cyclopts.App(name="weights", help="Published weights of InternVL2-4B and EarthDial_4B: into our layout and back.")
app.command(import_weights, name="import")
app.command(export_weights, name="export")
