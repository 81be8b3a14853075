"""The GPU handler: the same file on RunPod, on your own GPU and at your desk.

python handler.py --test_input '{"input": {...}}'   one job here, exit code 0 or 1
python handler.py --schema [RUNNER]                 the JSON Schema of the input
python handler.py --prepare [RUNNER]                load its model, downloading it if needed
python handler.py                                   take jobs (RUNPOD_WEBHOOK_GET_JOB)
"""

from slipway_worker.handler import main

if __name__ == "__main__":
    main()
