"""`soak`: one build under steady churn for a long time."""
