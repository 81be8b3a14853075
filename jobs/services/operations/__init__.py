"""RunPod for an operator: accounts, endpoints, diagnosis, alerts. No single jobs."""
