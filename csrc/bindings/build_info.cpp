// What this module was built from, and for _cuda what the machine offers it.

#include "build_config.h"

#include <sstream>

#include "bindings/bindings.h"

namespace py = pybind11;

namespace alexnet {
namespace build_info_calls {

#if SIMT_EMULATED
constexpr const char* kKind = "emulated";
constexpr const char* kCompiler = ALEXNET_CXX_COMPILER;
constexpr const char* kToolkit = "";
constexpr const char* kArchitectures = "";
#else
constexpr const char* kKind = "cuda";
constexpr const char* kCompiler = ALEXNET_CUDA_COMPILER;
constexpr const char* kToolkit = ALEXNET_CUDA_VERSION;
constexpr const char* kArchitectures = ALEXNET_CUDA_ARCHITECTURES;
#endif

py::object text_or_none(const std::string& text) {
  if (text.empty()) return py::none();
  return py::str(text);
}

py::list split(const std::string& text, char separator) {
  py::list parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.append(part);
  return parts;
}

py::dict build_info() {
  py::dict info;
  info["kind"] = kKind;
  info["compiler"] = kCompiler;
  info["cuda"] = text_or_none(kToolkit);
  info["architectures"] = split(kArchitectures, ';');
  info["why_no_cuda"] = text_or_none(ALEXNET_WHY_NO_CUDA);
  return info;
}

#if !SIMT_EMULATED
// (driver version, runtime version, devices, error text or None). The runtime is linked statically, so on a
// machine without a driver this works too, and reports driver version 0.
py::tuple device_status() {
  int driver = 0;
  int runtime = 0;
  int devices = 0;
  cudaError_t status = cudaSuccess;
  {
    const py::gil_scoped_release release;
    status = cudaDriverGetVersion(&driver);
    if (status == cudaSuccess) status = cudaRuntimeGetVersion(&runtime);
    if (status == cudaSuccess) status = cudaGetDeviceCount(&devices);
    // The runtime remembers a failure and reports it again after the next launch, whatever came of that.
    cudaGetLastError();
  }
  if (status != cudaSuccess) devices = 0;
  const std::string error = status == cudaSuccess ? "" : cudaGetErrorString(status);
  return py::make_tuple(driver, runtime, devices, text_or_none(error));
}
#endif

}  // namespace build_info_calls

void bind_build_info(py::module_& module) {
  using namespace build_info_calls;
  module.def("build_info", &build_info);
#if !SIMT_EMULATED
  module.def("device_status", &device_status);
#endif
}

}  // namespace alexnet
