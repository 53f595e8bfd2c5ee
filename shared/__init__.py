"""What all functions share: settings, errors, database, HTTP, and one package for each resource."""

import gc
import os

# While an environment is set up there are many new objects and hardly any garbage; looking for it is a tenth
# of a cold start. `Api` turns it on again when all is imported.
if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    gc.disable()
