"""`capacity`: how many Projects or objects one build carries."""
