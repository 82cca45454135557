# SPDX-License-Identifier: Apache-2.0
"""What every operation does around its kernel.

backend   which extension module serves which array
context   stream, workspace, results, and checks of arguments
progress  a bar on the terminal
shown     how estimators print
types     what type checkers know of arguments and results
"""
