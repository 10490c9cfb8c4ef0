#include "kernels/softmax/softmax.h"

#include <algorithm>
#include <vector>

#include "bindings/bindings.h"

namespace py = pybind11;

namespace alexnet {
namespace softmax_calls {

using Matrix = std::array<std::int64_t, 2>;  // (classes, images)

constexpr std::int64_t kStateWords = 3;

void check(const Matrix& shape) {
  elements(shape, "logits");
  require(shape[0] <= INT32_MAX && shape[1] <= INT32_MAX, "logits have a size of more than 2^31 - 1");
}

void run_softmax(std::uintptr_t logits, std::uintptr_t p, const Matrix& shape, std::string_view dtype,
                 Where where) {
  check(shape);
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* logits_pointer = as_pointer<const T>(logits, shape[0] * shape[1], "logits");
    auto* p_pointer = as_pointer<T>(p, shape[0] * shape[1], "p");
    const Launch launch(where);
    softmax_forward(logits_pointer, p_pointer, static_cast<int>(shape[0]), static_cast<int>(shape[1]),
                    launch.stream());
  });
}

struct Loss {
  std::uintptr_t logits, labels, loss, correct, dlogits, state, status, scratch;
  std::int64_t scratch_words;
};

template <class T, class D>
void run_typed_loss(const Loss& a, const Matrix& shape, const std::vector<std::int64_t>& topk, Where where) {
  const std::int64_t count = shape[0] * shape[1];
  LossArguments<T, D> arguments{};
  arguments.logits = as_pointer<const T>(a.logits, count, "logits");
  arguments.classes = static_cast<int>(shape[0]);
  arguments.images = static_cast<int>(shape[1]);
  arguments.labels = as_pointer<const int>(a.labels, arguments.images, "labels");
  arguments.topk_count = static_cast<int>(topk.size());
  // No rank is larger than the number of classes.
  std::transform(topk.begin(), topk.end(), arguments.topk,
                 [&](std::int64_t k) { return static_cast<int>(std::clamp<std::int64_t>(k, 0, shape[0])); });
  arguments.loss = as_pointer<float>(a.loss, 1, "loss");
  arguments.correct = as_pointer<int>(a.correct, arguments.topk_count, "correct");
  arguments.dlogits = as_pointer<D>(a.dlogits, count, "dlogits");
  arguments.state = as_optional_pointer<std::uint32_t>(a.state, kStateWords, "state");
  arguments.status = as_optional_pointer<StatusWord>(a.status, kStatusWords, "status");
  arguments.scratch = as_pointer<std::uint32_t>(a.scratch, a.scratch_words, "scratch");
  const Launch launch(where);
  softmax_cross_entropy(arguments, launch.stream());
}

void run_loss(std::uintptr_t logits, std::uintptr_t labels, std::uintptr_t loss, std::uintptr_t correct,
              std::uintptr_t dlogits, std::uintptr_t state, std::uintptr_t status, std::uintptr_t scratch,
              std::int64_t scratch_words, const Matrix& shape, const std::vector<std::int64_t>& topk,
              std::string_view dtype, std::string_view gradient_dtype, Where where) {
  check(shape);
  require(topk.size() <= kMostTopk, "topk has " + std::to_string(topk.size()) + " numbers, wanted at most " +
                                        std::to_string(kMostTopk));
  const std::int64_t words = loss_scratch_words(static_cast<int>(shape[1]));
  require(scratch_words >= words,
          "scratch has " + std::to_string(scratch_words) + " words, wanted " + std::to_string(words));
  const Loss arrays{logits, labels, loss, correct, dlogits, state, status, scratch, scratch_words};
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    if (gradient_dtype == dtype) return run_typed_loss<T, T>(arrays, shape, topk, where);
    require(gradient_dtype == "bfloat16", "dlogits: wanted the dtype of logits, or bfloat16");
    run_typed_loss<float, simt::bf16>(arrays, shape, topk, where);
  });
}

std::string choose(const Matrix& shape) {
  check(shape);
  return to_string(choose_softmax(static_cast<int>(shape[0]), static_cast<int>(shape[1])));
}

}  // namespace softmax_calls

void bind_softmax(py::module_& module) {
  using namespace softmax_calls;
  module.def("softmax_forward", &run_softmax, py::arg("logits"), py::arg("p"), py::arg("shape"),
             py::arg("dtype"), py::arg("where"));
  module.def("softmax_cross_entropy", &run_loss, py::arg("logits"), py::arg("labels"), py::arg("loss"),
             py::arg("correct"), py::arg("dlogits"), py::arg("state"), py::arg("status"), py::arg("scratch"),
             py::arg("scratch_words"), py::arg("shape"), py::arg("topk"), py::arg("dtype"),
             py::arg("gradient_dtype"), py::arg("where"));
  module.def("loss_scratch_words", &loss_scratch_words, py::arg("images"));
  module.def("choose_softmax", &choose, py::arg("shape"), "The launch, as text.");
  module.attr("STATUS_WORDS") = static_cast<int>(kStatusWords);
}

}  // namespace alexnet
