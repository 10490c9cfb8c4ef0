#include "bindings/bindings.h"

namespace alexnet {

void bind_hopper_conv(pybind11::module_&) {}

}  // namespace alexnet
