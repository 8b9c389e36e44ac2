// Ops and kernels for TensorFlow, through its C API (tensorflow/c/{ops,kernels,tf_tensor,tf_status}.h, 2.21). The functions
// are declared by hand: a C ABI suits every compiler, and the headers of the wheel include others that are not kept.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

extern "C" {
struct TF_Status;
struct TF_Tensor;
struct TF_OpKernelContext;
struct TF_OpKernelConstruction;
struct TF_KernelBuilder;
struct TF_OpDefinitionBuilder;
struct TF_ShapeInferenceContext;
enum TF_DataType { TF_FLOAT = 1, TF_INT32 = 3 };
enum TF_Code { TF_OK = 0, TF_INVALID_ARGUMENT = 3 };

TF_Status* TF_NewStatus();
void TF_DeleteStatus(TF_Status*);
void TF_SetStatus(TF_Status*, TF_Code, const char*);
TF_Code TF_GetCode(const TF_Status*);
const char* TF_Message(const TF_Status*);

void* TF_TensorData(const TF_Tensor*);
int TF_NumDims(const TF_Tensor*);
int64_t TF_Dim(const TF_Tensor*, int);
void TF_DeleteTensor(TF_Tensor*);

TF_OpDefinitionBuilder* TF_NewOpDefinitionBuilder(const char*);
void TF_OpDefinitionBuilderAddInput(TF_OpDefinitionBuilder*, const char*);
void TF_OpDefinitionBuilderAddOutput(TF_OpDefinitionBuilder*, const char*);
void TF_OpDefinitionBuilderAddAttr(TF_OpDefinitionBuilder*, const char*);
void TF_OpDefinitionBuilderSetIsStateful(TF_OpDefinitionBuilder*, bool);
void TF_OpDefinitionBuilderSetShapeInferenceFunction(TF_OpDefinitionBuilder*,
                                                     void (*)(TF_ShapeInferenceContext*, TF_Status*));
void TF_ShapeInferenceContextSetUnknownShape(TF_ShapeInferenceContext*, TF_Status*);
void TF_RegisterOpDefinition(TF_OpDefinitionBuilder*, TF_Status*);

TF_KernelBuilder* TF_NewKernelBuilder(const char* op, const char* device, void* (*create)(TF_OpKernelConstruction*),
                                      void (*compute)(void*, TF_OpKernelContext*), void (*destroy)(void*));
void TF_RegisterKernelBuilder(const char*, TF_KernelBuilder*, TF_Status*);
void TF_OpKernelConstruction_GetAttrBool(TF_OpKernelConstruction*, const char*, unsigned char*, TF_Status*);
void TF_OpKernelConstruction_GetAttrInt64(TF_OpKernelConstruction*, const char*, int64_t*, TF_Status*);
void TF_OpKernelConstruction_GetAttrFloat(TF_OpKernelConstruction*, const char*, float*, TF_Status*);
void TF_OpKernelConstruction_GetAttrSize(TF_OpKernelConstruction*, const char*, int32_t* listSize, int32_t* totalSize, TF_Status*);
void TF_OpKernelConstruction_GetAttrInt64List(TF_OpKernelConstruction*, const char*, int64_t*, int most, TF_Status*);
void TF_OpKernelConstruction_Failure(TF_OpKernelConstruction*, TF_Status*);

int TF_NumInputs(TF_OpKernelContext*);
void TF_GetInput(TF_OpKernelContext*, int, TF_Tensor**, TF_Status*);
TF_Tensor* TF_AllocateOutput(TF_OpKernelContext*, int, TF_DataType, const int64_t*, int, size_t, TF_Status*);
void TF_OpKernelContext_Failure(TF_OpKernelContext*, TF_Status*);
}

typedef std::vector<int64_t> Shape;

inline int64_t elements(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, [](int64_t a, int64_t b) { return a * b; });
}

// A status that frees itself, and throws what TensorFlow reports.
struct Status {
  TF_Status* at = TF_NewStatus();
  ~Status() { TF_DeleteStatus(at); }
  void check() const {
    if (TF_GetCode(at) != TF_OK) throw std::runtime_error(TF_Message(at));
  }
};

// What a kernel is made with: the attributes of its node.
class Attributes {
 public:
  explicit Attributes(TF_OpKernelConstruction* from) : from_(from) {}
  bool flag(const char* name) const {
    unsigned char value = 0;
    TF_OpKernelConstruction_GetAttrBool(from_, name, &value, status_.at);
    status_.check();
    return value != 0;
  }
  int64_t integer(const char* name) const {
    int64_t value = 0;
    TF_OpKernelConstruction_GetAttrInt64(from_, name, &value, status_.at);
    status_.check();
    return value;
  }
  std::vector<int64_t> integers(const char* name) const {
    int32_t size = 0, all = 0;
    TF_OpKernelConstruction_GetAttrSize(from_, name, &size, &all, status_.at);
    status_.check();
    std::vector<int64_t> values(size);
    TF_OpKernelConstruction_GetAttrInt64List(from_, name, values.data(), size, status_.at);
    status_.check();
    return values;
  }
  float number(const char* name) const {
    float value = 0;
    TF_OpKernelConstruction_GetAttrFloat(from_, name, &value, status_.at);
    status_.check();
    return value;
  }

 private:
  TF_OpKernelConstruction* from_;
  Status status_;
};

// One call of a kernel: its inputs and outputs, held until it ends.
class Call {
 public:
  explicit Call(TF_OpKernelContext* context) : context_(context) {}
  ~Call() {
    for (TF_Tensor* tensor : held_) TF_DeleteTensor(tensor);
  }
  int inputs() const { return TF_NumInputs(context_); }
  Shape shape(int input) {
    const TF_Tensor* tensor = get(input);
    Shape sizes(TF_NumDims(tensor));
    for (size_t i = 0; i < sizes.size(); i++) sizes[i] = TF_Dim(tensor, static_cast<int>(i));
    return sizes;
  }
  // The input's numbers, which must have this shape.
  const float* floats(int input, const Shape& shape) { return static_cast<const float*>(data(input, shape)); }
  const int32_t* ints(int input, const Shape& shape) { return static_cast<const int32_t*>(data(input, shape)); }

  float* output(int index, const Shape& shape) {
    TF_Tensor* tensor = TF_AllocateOutput(context_, index, TF_FLOAT, shape.data(), static_cast<int>(shape.size()),
                                          elements(shape) * sizeof(float), status_.at);
    return outputOf(tensor);
  }
  static void expect(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
  }

 private:
  TF_Tensor* get(int input) {
    if (static_cast<size_t>(input) >= found_.size()) found_.resize(input + 1, nullptr);
    if (found_[input] == nullptr) {
      TF_GetInput(context_, input, &found_[input], status_.at);
      status_.check();
      held_.push_back(found_[input]);
    }
    return found_[input];
  }
  void* data(int input, const Shape& expected) {
    if (shape(input) != expected) throw std::invalid_argument("input " + std::to_string(input) + " has another shape");
    return TF_TensorData(get(input));
  }
  float* outputOf(TF_Tensor* tensor) {
    status_.check();
    held_.push_back(tensor);
    return static_cast<float*>(TF_TensorData(tensor));
  }

  TF_OpKernelContext* context_;
  Status status_;
  std::vector<TF_Tensor*> held_, found_;
};

// An op and its kernel for CPUs, as they are declared. Output shapes are set by who makes the node; the kernel checks them.
struct Declaration {
  const char* name;
  std::initializer_list<const char*> inputs, outputs, attributes;
  bool changesState = false;
};

// Registers Kernel(const Attributes&) with `void compute(Call&)`. What either throws becomes the error of the node.
// @returns nothing, or why TensorFlow refused
template <class Kernel> std::string registerOp(const Declaration& op) {
  Status status;
  TF_OpDefinitionBuilder* builder = TF_NewOpDefinitionBuilder(op.name);
  for (const char* input : op.inputs) TF_OpDefinitionBuilderAddInput(builder, input);
  for (const char* output : op.outputs) TF_OpDefinitionBuilderAddOutput(builder, output);
  for (const char* attribute : op.attributes) TF_OpDefinitionBuilderAddAttr(builder, attribute);
  // Read by who makes the node, see src/graph/graph.ts: rank and sizes of each output, one after the other.
  TF_OpDefinitionBuilderAddAttr(builder, "output_shapes: list(int) = []");
  if (op.changesState) TF_OpDefinitionBuilderSetIsStateful(builder, true);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(builder, TF_ShapeInferenceContextSetUnknownShape);
  TF_RegisterOpDefinition(builder, status.at);
  if (TF_GetCode(status.at) != TF_OK) return TF_Message(status.at);

  const auto create = [](TF_OpKernelConstruction* from) -> void* {
    try {
      return new Kernel(Attributes(from));
    } catch (const std::exception& error) {
      Status failed;
      TF_SetStatus(failed.at, TF_INVALID_ARGUMENT, error.what());
      TF_OpKernelConstruction_Failure(from, failed.at);
      return nullptr;
    }
  };
  const auto compute = [](void* kernel, TF_OpKernelContext* context) {
    try {
      Call call(context);
      static_cast<Kernel*>(kernel)->compute(call);
    } catch (const std::exception& error) {
      Status failed;
      TF_SetStatus(failed.at, TF_INVALID_ARGUMENT, error.what());
      TF_OpKernelContext_Failure(context, failed.at);
    }
  };
  const auto destroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  TF_RegisterKernelBuilder(op.name, TF_NewKernelBuilder(op.name, "CPU", create, compute, destroy), status.at);
  return TF_GetCode(status.at) == TF_OK ? "" : TF_Message(status.at);
}
