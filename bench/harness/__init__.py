# SPDX-License-Identifier: MIT
"""The side-by-side benchmark behind bench/run.

layout   where things are
servers  who is measured: how to install each and how to start it
envs     one virtual environment per server, and the canned-reply program
process  start, stop, CPU time and memory of a server's whole process tree
cases    what is asked of a server, and a check that it answers as it should
load     wrk, and the clients that hold connections
clients  those clients, a process of their own
plan     the turns: A B A B
report   medians and the tables
claims   what Saola promises, beside what was measured
cli      the command line
"""
