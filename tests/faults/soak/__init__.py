"""The whole product for as long as one likes, under a schedule of faults drawn from a seed."""
