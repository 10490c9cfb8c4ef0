#include "bindings/bindings.h"

namespace alexnet {

void bind_hopper_wgrad(pybind11::module_&) {}

}  // namespace alexnet
