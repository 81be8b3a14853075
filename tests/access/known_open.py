"""Who comes in today and should not. Whoever mends one must take its line out.

(who, request): (what is answered today, why it is open). Tests ask for exactly that.
"""

V2, ITEM, WHO = "v2/<slug:slug>", "<str:item_id>", "<str:worker_id>"
ITEMS = "/v2 knows who may submit to an endpoint, but not whose an item is"
ANYBODYS = "/v2 lets everybody who may submit empty the queue"
BY_ID = "workers, and what they hold, are found by the worker's id alone"
BOB = "another person's key"
# Its key and address are right, but it names a worker or an item of another queue.
OTHER = "a worker of another queue"
OTHER_STOPS = "a worker of another queue that stops"
KNOWN_OPEN = {
    (BOB, f"GET {V2}/status/{ITEM}"): (200, ITEMS),
    (BOB, f"POST {V2}/status/{ITEM}"): (200, ITEMS),
    (BOB, f"GET {V2}/stream/{ITEM}"): (200, ITEMS),
    (BOB, f"POST {V2}/stream/{ITEM}"): (200, ITEMS),
    (BOB, f"POST {V2}/cancel/{ITEM}"): (200, ITEMS),
    (BOB, f"POST {V2}/retry/{ITEM}"): (200, ITEMS),
    (BOB, f"POST {V2}/purge-queue"): (200, ANYBODYS),
    (OTHER, f"GET {V2}/job-take/{WHO}"): (204, BY_ID),
    (OTHER, f"GET {V2}/job-take-batch/{WHO}"): (204, BY_ID),
    (OTHER, f"GET {V2}/job-stop/{WHO}"): (200, BY_ID),
    (OTHER, f"GET {V2}/ping/{WHO}"): (200, BY_ID),
    (OTHER_STOPS, f"POST {V2}/job-done/{WHO}/{ITEM}"): (200, BY_ID),
}
