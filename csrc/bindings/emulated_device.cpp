// What an emulated device is to Python: memory, streams and events, as CuPy has them for a GPU. _cuda has
// none of it. alexnet_cuda/ops/emulated.py makes arrays and copies of these.

#include "bindings/bindings.h"

#if SIMT_EMULATED

#include <memory>
#include <optional>

#include "simt/emulator/address_space.h"
#include "simt/emulator/settings.h"

namespace py = pybind11;

namespace alexnet {
namespace emulated_device_calls {

using simt::emulator::AddressSpace;
using Unlocked = py::call_guard<py::gil_scoped_release>;

// Bytes between red zones that kernels on one device may touch; of no device (-1), those that run at once.
// They begin as 0xff, NaN in float and bfloat16. An array over them keeps this object alive.
class Memory {
 public:
  Memory(std::size_t bytes, int device, const std::string& name)
      : data_(AddressSpace::instance().allocate(bytes, device, name)), bytes_(bytes) {}
  ~Memory() { AddressSpace::instance().release(data_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  py::buffer_info buffer() { return {static_cast<std::uint8_t*>(data_), static_cast<py::ssize_t>(bytes_)}; }

 private:
  void* data_;
  std::size_t bytes_;
};

// The device of this thread's new streams and of synchronize(), for as long as it lives.
class OnDevice {
 public:
  explicit OnDevice(int device) : before_(simt::device()) { simt::set_device(device); }
  ~OnDevice() { simt::set_device(before_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_;
};

std::unique_ptr<simt::Stream> make_stream(int device) {
  const OnDevice here(device);
  return std::make_unique<simt::Stream>();
}

void synchronize_device(int device) {
  const OnDevice here(device);
  simt::synchronize();
}

void copy(std::uintptr_t to, std::uintptr_t from, std::size_t bytes, std::uintptr_t stream,
          std::string what) {
  simt::emulator::copy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes,
                       reinterpret_cast<simt::stream_t>(stream), std::move(what));
}

// Keeps an object alive until all that is queued on the stream so far has run, or was dropped.
void keep(const simt::Stream& stream, py::object object) {
  const auto let_go = [](py::object* held) {
    if (!Py_IsInitialized()) return;  // the process ends; Python has gone before the emulator
    const py::gil_scoped_acquire gil;
    delete held;
  };
  std::shared_ptr<py::object> held(new py::object(std::move(object)), let_go);
  const py::gil_scoped_release without_gil;
  simt::emulator::submit(stream, "the end of work on some arrays",
                         [held = std::move(held)](const simt::emulator::Operation&) {});
}

void set_schedule(const std::optional<std::string>& text) {
  using simt::emulator::parse_schedule;
  simt::emulator::set_schedule(text ? std::optional(parse_schedule(*text)) : std::nullopt);
}

// The device that owns the memory at an address, -1 for memory of no device; None if nobody has made it
// known.
std::optional<int> owner(std::uintptr_t address) {
  simt::emulator::Region region;
  const auto* memory = reinterpret_cast<const void*>(address);
  const bool known = AddressSpace::instance().find(memory, region) && region.inside(memory, 1);
  return known ? std::optional(region.device) : std::nullopt;
}

}  // namespace emulated_device_calls

void bind_emulated_device(py::module_& module) {
  using namespace emulated_device_calls;
  // Whatever takes the lock of the streams lets go of Python's first: a thread that runs their work may want
  // that.
  py::class_<Memory>(module, "Memory", py::buffer_protocol())
      .def(py::init<std::size_t, int, const std::string&>(), py::arg("bytes"), py::arg("device"),
           py::arg("name"))
      .def_buffer(&Memory::buffer);
  py::class_<simt::Event>(module, "Event")
      .def(py::init<>())
      .def("synchronize", &simt::Event::synchronize, Unlocked());
  py::class_<simt::Stream>(module, "Stream", py::release_gil_before_calling_cpp_dtor())
      .def(py::init(&make_stream), py::arg("device"), Unlocked())
      .def_property_readonly("handle",
                             [](const simt::Stream& stream) {
                               return reinterpret_cast<std::uintptr_t>(static_cast<simt::stream_t>(stream));
                             })
      .def("keep", &keep, py::arg("object"))
      .def(
          "record", [](const simt::Stream& stream, simt::Event& event) { event.record(stream); },
          py::arg("event"), Unlocked())
      .def("wait", &simt::Stream::wait, py::arg("event"), Unlocked())
      .def("synchronize", &simt::Stream::synchronize, Unlocked());
  module.def("copy", &copy, py::arg("to"), py::arg("from_"), py::arg("bytes"), py::arg("stream"),
             py::arg("what"), Unlocked(), "Queues a copy, or on stream 0 does it at once.");
  module.def("synchronize_device", &synchronize_device, py::arg("device"), Unlocked());
  module.def("set_schedule", &set_schedule, py::arg("text"),
             "forward, reverse, random:SEED; None: as the environment says.");
  module.def("owner", &owner, py::arg("address"));
}

}  // namespace alexnet

#else

void alexnet::bind_emulated_device(pybind11::module_&) {}

#endif
