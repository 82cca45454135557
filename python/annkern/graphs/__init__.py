# SPDX-License-Identifier: Apache-2.0
"""Graphs over vectors: built, searched, and exchanged with other libraries.

graph                      class Graph
build_graph  nn_descent    how one is built
search_graph  how one is searched
reachability  reordering   every row within reach of a search; rows in the order in which searches read them
importers  exporters       graphs of and for other libraries
"""
