# SPDX-License-Identifier: Apache-2.0
"""Bytes on disk. Nothing here knows a store.

container  safetensors files of registered types: save, load, register
vectors    .npy .fbin .fvecs and others; public as annkern.io
hdf5       the HDF5 files of ann-benchmarks; likewise
atomic     a file that replaces another once it is complete
"""
