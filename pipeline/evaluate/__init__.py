"""The verb `evaluate`: the same workloads by every driver, and what each of them is good for."""
