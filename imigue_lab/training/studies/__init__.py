"""Many runs: ablations and searches, by any number of workers."""
