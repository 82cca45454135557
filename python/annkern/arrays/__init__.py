# SPDX-License-Identifier: Apache-2.0
"""Arrays of any library, as the kernels see them.

views      any array -> address, shape, strides, dtype, device
columns    columns of data frames and of Arrow as arrays
libraries  how each array library allocates, casts, takes rows and names its streams
host       rows in host memory; pages of mapped files
dlpack     what a DLPack capsule says
driver     the calls into the CUDA driver
"""
