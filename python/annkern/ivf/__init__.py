# SPDX-License-Identifier: Apache-2.0
"""Rows cut into lists (IVF), of which a search takes the nearest few.

lists         class Lists
build_lists   how they are made: k-means, and a second list for each row (SOAR)
search_lists  how they are searched, over any store
"""
