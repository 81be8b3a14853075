"""Who comes in today and should not. Whoever mends one must take its line out.

(who, request): (what is answered today, why it is open). A test asks for exactly that.
"""

ITEMS = "/v2 knows who may submit to an endpoint, but not whose an item is"
V2, ITEM = "v2/<slug:slug>", "<str:item_id>"
BOB = "another person's key"
KNOWN_OPEN = {
    (BOB, f"GET {V2}/status/{ITEM}"): (200, ITEMS),
    (BOB, f"POST {V2}/status/{ITEM}"): (200, ITEMS),
    (BOB, f"GET {V2}/stream/{ITEM}"): (200, ITEMS),
    (BOB, f"POST {V2}/stream/{ITEM}"): (200, ITEMS),
    (BOB, f"POST {V2}/cancel/{ITEM}"): (200, ITEMS),
    (BOB, f"POST {V2}/retry/{ITEM}"): (200, ITEMS),
    (BOB, f"POST {V2}/purge-queue"): (200, "/v2 lets everybody empty a queue"),
}
# Here the request is right, but names what belongs to another queue: a test asks for
# exactly those that change something there.
OTHER = "a worker of another queue"
UNFILTERED = "workers and what they hold are found by the worker's id alone"
WHO = "<str:worker_id>"
WORKERS_OPEN = {
    (OTHER, f"GET {V2}/job-take/{WHO}"): UNFILTERED,
    (OTHER, f"GET {V2}/job-take-batch/{WHO}"): UNFILTERED,
    (OTHER, f"GET {V2}/job-stop/{WHO}"): UNFILTERED,
    (OTHER, f"GET {V2}/ping/{WHO}"): UNFILTERED,
    (f"{OTHER} that stops", f"POST {V2}/job-done/{WHO}/{ITEM}"): UNFILTERED,
}
