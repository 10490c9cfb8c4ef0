// For programs that run kernels without Python (the tests and benchmarks of this folder): device memory,
// streams and events, the same under nvcc and g++. Kernels and launchers do not need it: their memory and
// streams come from outside.
//
//   simt::set_device(0);
//   simt::DeviceBuffer<float> x(values), y(values.size());     a copy of a vector; NaN
//   simt::Stream stream;  simt::Event event;
//   simt::launch(kernel, grid, block, 0, stream, x.data(), y.data());
//   event.record(stream);  other.wait(event);
//   simt::copy(to, from, bytes, stream);                       between devices, or on one
//   stream.synchronize();
//   std::vector<float> result = y.to_host();
#pragma once

#include "simt/simt.h"

#if SIMT_EMULATED
#include "simt/emulator/memory.h"
#include "simt/emulator/streams.h"
#else
#include "simt/cuda_host.h"
#endif
