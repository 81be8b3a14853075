"""RunPod as an operator sees it: accounts, endpoints, diagnosis, alerts. Knows no single job."""
