print("recall-bench")
