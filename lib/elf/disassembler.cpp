// The only file that sees LLVM's MC layer, whose API moves between releases (14 here).
#include "elf/disassembler.h"

#include <llvm/BinaryFormat/ELF.h>
#include <llvm/MC/MCAsmInfo.h>
#include <llvm/MC/MCContext.h>
#include <llvm/MC/MCDisassembler/MCDisassembler.h>
#include <llvm/MC/MCInst.h>
#include <llvm/MC/MCInstPrinter.h>
#include <llvm/MC/MCInstrInfo.h>
#include <llvm/MC/MCRegisterInfo.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/MCTargetOptions.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/raw_ostream.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <mutex>
#include <set>
#include <utility>

#include "elf/power_instructions.h"
#include "elf/power_registers.h"
#include "support/error.h"

// Declared by llvm-c/Target.h only for all targets at once; these two are linked.
extern "C" {
void LLVMInitializeX86TargetInfo();
void LLVMInitializeX86TargetMC();
void LLVMInitializeX86Disassembler();
void LLVMInitializePowerPCTargetInfo();
void LLVMInitializePowerPCTargetMC();
void LLVMInitializePowerPCDisassembler();
}

namespace klp::elf {
namespace {

void initialise_llvm() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86Disassembler();
    LLVMInitializePowerPCTargetInfo();
    LLVMInitializePowerPCTargetMC();
    LLVMInitializePowerPCDisassembler();
  });
}

const char* triple_of(uint16_t machine) {
  switch (machine) {
    case llvm::ELF::EM_X86_64:
      return "x86_64-linux-gnu";
    case llvm::ELF::EM_PPC64:
      return "powerpc64le-linux-gnu";
    default:
      fail("machine type {} is not supported", machine);
  }
}

llvm::ArrayRef<uint8_t> as_llvm(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace

struct Disassembler::State {
  const llvm::Target* target = nullptr;
  std::unique_ptr<llvm::MCRegisterInfo> registers;
  std::unique_ptr<llvm::MCAsmInfo> assembler;
  std::unique_ptr<llvm::MCInstrInfo> instructions;
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget;
  std::unique_ptr<llvm::MCContext> context;
  std::unique_ptr<llvm::MCDisassembler> disassembler;
  std::unique_ptr<llvm::MCInstPrinter> printer;
  bool x86 = false;
  std::vector<int8_t> general;  ///< by LLVM's number: which general register it is a part of; -1: none
  std::vector<bool> whole;      ///< writing it leaves nothing of what was there before

  void number_registers();
  uint32_t bit(const llvm::MCOperand& operand) const {
    if (!operand.isReg() || operand.getReg() == 0 || general.at(operand.getReg()) < 0) return 0;
    return 1U << static_cast<unsigned>(general[operand.getReg()]);
  }
  uint32_t bits(const llvm::MCPhysReg* list) const {
    uint32_t result = 0;
    for (; list != nullptr && *list != 0; ++list) result |= bit(llvm::MCOperand::createReg(*list));
    return result;
  }
  void classify(const llvm::MCInst& inst, Instruction& result) const;
};

Disassembler::Disassembler(uint16_t machine) : state_(std::make_unique<State>()) {
  initialise_llvm();
  const char* triple = triple_of(machine);
  std::string problem;
  State& s = *state_;
  s.target = llvm::TargetRegistry::lookupTarget(triple, problem);
  check(s.target != nullptr, "LLVM has no target {}: {}", triple, problem);
  s.x86 = machine == llvm::ELF::EM_X86_64;
  s.registers.reset(s.target->createMCRegInfo(triple));
  s.assembler.reset(s.target->createMCAsmInfo(*s.registers, triple, llvm::MCTargetOptions()));
  s.instructions.reset(s.target->createMCInstrInfo());
  s.subtarget.reset(s.target->createMCSubtargetInfo(triple, "", ""));
  s.context =
      std::make_unique<llvm::MCContext>(llvm::Triple(triple), s.assembler.get(), s.registers.get(), s.subtarget.get());
  s.disassembler.reset(s.target->createMCDisassembler(*s.subtarget, *s.context));
  check(s.disassembler != nullptr, "LLVM has no disassembler for {}", triple);
  s.number_registers();
  s.printer.reset(s.target->createMCInstPrinter(llvm::Triple(triple), 0, *s.assembler, *s.instructions, *s.registers));
}

Disassembler::~Disassembler() = default;
Disassembler::Disassembler(Disassembler&&) noexcept = default;

void Disassembler::State::classify(const llvm::MCInst& inst, Instruction& result) const {
  const llvm::MCInstrDesc& desc = instructions->get(inst.getOpcode());
  const llvm::StringRef name = instructions->getName(inst.getOpcode());
  result.nop = name.startswith("NOOP") || name == "NOP";
  // A direct branch has its displacement as an immediate operand of PC-relative type.
  const bool pc_relative = desc.getNumOperands() > 0 && inst.getNumOperands() > 0 && inst.getOperand(0).isImm() &&
                           desc.OpInfo[0].OperandType == llvm::MCOI::OPERAND_PCREL;
  if (!pc_relative) return;
  result.target = static_cast<int64_t>(result.offset) + result.size + inst.getOperand(0).getImm();
  if (desc.isCall()) {
    result.flow = Flow::call;
  } else if (desc.isConditionalBranch()) {
    result.flow = Flow::conditional_jump;
    // JCC_1 and JCC_4 differ in length only, the condition is their second operand; LOOP and JRCXZ have none.
    const bool jcc = name.startswith("JCC") && inst.getNumOperands() > 1;
    result.condition = static_cast<uint16_t>(jcc ? inst.getOperand(1).getImm() : 0x100 + inst.getOpcode() % 0x1000);
  } else if (desc.isBranch()) {
    result.flow = Flow::jump;
  }
}

std::vector<Instruction> Disassembler::decode(std::span<const std::byte> code) const {
  if (!state_->x86) return decode_power(code);
  std::vector<Instruction> result;
  result.reserve(code.size() / 4);
  const llvm::ArrayRef<uint8_t> bytes = as_llvm(code);
  uint32_t number = 0;
  for (uint64_t offset = 0; offset < bytes.size();) {
    llvm::MCInst inst;
    uint64_t size = 0;
    Instruction instruction;
    instruction.offset = offset;
    const auto status = state_->disassembler->getInstruction(inst, size, bytes.slice(offset), offset, llvm::nulls());
    if (status == llvm::MCDisassembler::Success && size > 0) {
      instruction.size = static_cast<uint8_t>(size);
      state_->classify(inst, instruction);
    } else {
      instruction.size = 1;
    }
    instruction.number = number;
    if (!instruction.nop) ++number;
    result.push_back(instruction);
    offset += instruction.size;
  }
  return result;
}

namespace {

/// On POWER no instruction has an address in it but a branch.
std::vector<Disassembler::Mention> power_branches(std::span<const std::byte> code, uint64_t start, uint64_t low,
                                                  uint64_t high) {
  std::vector<Disassembler::Mention> result;
  for (const Instruction& i : decode_power(code)) {
    const uint64_t target = start + static_cast<uint64_t>(i.target);
    if (i.flow != Flow::none && target >= low && target < high) result.push_back({start + i.offset, target, true});
  }
  return result;
}

}  // namespace

std::vector<Disassembler::Mention> Disassembler::mentions(std::span<const std::byte> code, uint64_t start, uint64_t low,
                                                          uint64_t high) const {
  if (!state_->x86) return power_branches(code, start, low, high);
  std::vector<Mention> result;
  const llvm::ArrayRef<uint8_t> bytes = as_llvm(code);
  for (uint64_t offset = 0; offset < bytes.size();) {
    llvm::MCInst inst;
    uint64_t size = 0;
    const auto status = state_->disassembler->getInstruction(inst, size, bytes.slice(offset), offset, llvm::nulls());
    if (status != llvm::MCDisassembler::Success || size == 0) {
      ++offset;
      continue;
    }
    Instruction instruction;
    instruction.offset = offset;
    instruction.size = static_cast<uint8_t>(size);
    state_->classify(inst, instruction);
    const auto add = [&](uint64_t address, bool branch) {
      if (address >= low && address < high) result.push_back({start + offset, address, branch});
    };
    if (instruction.flow != Flow::none) {
      add(start + static_cast<uint64_t>(instruction.target), true);
    } else {
      // A place in memory is base, scale, index, distance and segment: a base that is the program counter says that
      // the distance, and nothing else, counts from there.
      constexpr unsigned kDistance = 3;
      unsigned relative = inst.getNumOperands();
      for (unsigned i = 0; i < inst.getNumOperands(); ++i) {
        const llvm::MCOperand& operand = inst.getOperand(i);
        if (operand.isReg() && operand.getReg() != 0 && operand.getReg() == state_->registers->getProgramCounter())
          relative = i + kDistance;
        if (!operand.isImm()) continue;
        add(static_cast<uint64_t>(operand.getImm()), false);
        if (i == relative) add(start + offset + size + static_cast<uint64_t>(operand.getImm()), false);
      }
    }
    offset += size;
  }
  return result;
}

std::optional<Disassembler::Immediates> Disassembler::changed_immediate(std::span<const std::byte> before,
                                                                        std::span<const std::byte> after) const {
  llvm::MCInst x;
  llvm::MCInst y;
  uint64_t size = 0;
  const State& s = *state_;
  if (s.disassembler->getInstruction(x, size, as_llvm(before), 0, llvm::nulls()) != llvm::MCDisassembler::Success ||
      s.disassembler->getInstruction(y, size, as_llvm(after), 0, llvm::nulls()) != llvm::MCDisassembler::Success)
    return std::nullopt;
  const unsigned count = x.getNumOperands();
  const llvm::StringRef name = s.instructions->getName(x.getOpcode());
  // A push of a small constant is shorter.
  const bool pushes = name.startswith("PUSH") && s.instructions->getName(y.getOpcode()).startswith("PUSH");
  if ((x.getOpcode() != y.getOpcode() && !pushes) || x.getFlags() != y.getFlags() || count == 0 ||
      y.getNumOperands() != count)
    return std::nullopt;
  const llvm::MCInstrDesc& desc = s.instructions->get(x.getOpcode());
  const bool moves = name.startswith("MOV") || name.startswith("PUSH") || name == "LI" || name == "LI8";
  const auto kind = count <= desc.getNumOperands() ? desc.OpInfo[count - 1].OperandType : +llvm::MCOI::OPERAND_UNKNOWN;
  const bool constant = kind == llvm::MCOI::OPERAND_IMMEDIATE || !name.startswith("MOV");
  if (!moves || !constant || !x.getOperand(count - 1).isImm() || !y.getOperand(count - 1).isImm()) return std::nullopt;
  for (unsigned i = 0; i + 1 < count; ++i) {
    const llvm::MCOperand& a = x.getOperand(i);
    const llvm::MCOperand& b = y.getOperand(i);
    const bool same =
        (a.isReg() && b.isReg() && a.getReg() == b.getReg()) || (a.isImm() && b.isImm() && a.getImm() == b.getImm());
    if (!same) return std::nullopt;
  }
  return Immediates{x.getOperand(count - 1).getImm(), y.getOperand(count - 1).getImm()};
}

namespace {

/// Follows the registers that hold an address through straight code.
class AddressTracker {
 public:
  using Fate = Disassembler::AddressFate;

  AddressTracker(const llvm::MCRegisterInfo& registers, const llvm::MCInstrInfo& instructions, bool has_frame)
      : registers_(registers), instructions_(instructions), has_frame_(has_frame) {}

  /// The instruction that takes the address: as its constant, whose bytes are its last ones, or as the place that lea
  /// computes. True: nothing more to look at.
  bool begin(const llvm::MCInst& inst, uint64_t at, uint64_t field_end, uint64_t size) {
    const llvm::MCInstrDesc& desc = instructions_.get(inst.getOpcode());
    const unsigned count = inst.getNumOperands();
    const bool constant = count > 0 && inst.getOperand(count - 1).isImm() && desc.OpInfo != nullptr &&
                          count <= desc.getNumOperands() &&
                          desc.OpInfo[count - 1].OperandType == llvm::MCOI::OPERAND_IMMEDIATE;
    const bool at_end = field_end == at + size;
    if (!(constant && at_end) && !instructions_.getName(inst.getOpcode()).startswith("LEA")) {
      fate_.kind = Fate::Kind::not_taken;
      return true;
    }
    if (desc.mayStore()) return store(inst, at);
    if (desc.getNumDefs() == 1 && inst.getOperand(0).isReg()) held_.insert(widest(inst.getOperand(0).getReg()));
    return held_.empty();
  }

  bool step(const llvm::MCInst& inst, uint64_t at) {
    const llvm::MCInstrDesc& desc = instructions_.get(inst.getOpcode());
    if (desc.isCall()) return call(at);
    if (desc.isReturn() || desc.isUnconditionalBranch()) return true;
    const unsigned last = inst.getNumOperands();
    const bool from_held = last > 0 && is_held(inst.getOperand(last - 1));
    // xchg has the register in front of its memory operand.
    const bool exchanged = last > desc.getNumDefs() && desc.getNumDefs() > 0 && desc.mayStore() &&
                           is_held(inst.getOperand(desc.getNumDefs()));
    if (exchanged) {
      fate_ = {Fate::Kind::stored, at};
      return true;
    }
    if (desc.mayStore() && from_held) return store(inst, at);
    const bool copies = desc.isMoveReg() || instructions_.getName(inst.getOpcode()) == "MOV64rr";
    for (unsigned i = 0; i < desc.getNumDefs() && i < last; ++i) {
      if (inst.getOperand(i).isReg()) held_.erase(widest(inst.getOperand(i).getReg()));
    }
    if (copies && from_held) held_.insert(widest(inst.getOperand(0).getReg()));
    return held_.empty();
  }

  Fate fate() const { return fate_; }

 private:
  /// The register's 64-bit form, by name: LLVM's numbers are not visible here.
  std::string widest(unsigned reg) const {
    std::string name = registers_.getName(reg);
    for (llvm::MCSuperRegIterator super(reg, &registers_); super.isValid(); ++super) {
      const llvm::StringRef wide = registers_.getName(*super);
      if (wide.startswith("R")) name = wide.str();
    }
    return name;
  }

  bool is_held(const llvm::MCOperand& operand) const {
    return operand.isReg() && operand.getReg() != 0 && held_.count(widest(operand.getReg())) != 0;
  }

  /// The first operand of a store is the base register of its memory operand.
  bool store(const llvm::MCInst& inst, uint64_t at) {
    const bool has_base = inst.getNumOperands() >= 5 && inst.getOperand(0).isReg() && inst.getOperand(0).getReg() != 0;
    const std::string base = has_base ? widest(inst.getOperand(0).getReg()) : "";
    const bool stack = inst.getNumOperands() < 5 || base == "RSP" || (has_frame_ && base == "RBP");
    fate_ = {stack ? Fate::Kind::on_stack : Fate::Kind::stored, at};
    return !stack || held_.empty();
  }

  bool call(uint64_t at) {
    for (const char* argument : {"RDI", "RSI", "RDX", "RCX", "R8", "R9"}) {
      if (held_.count(argument) == 0) continue;
      fate_ = {Fate::Kind::passed, at};
      break;
    }
    // Only these survive a call.
    for (auto it = held_.begin(); it != held_.end();) {
      const bool kept = *it == "RBX" || *it == "RBP" || *it == "R12" || *it == "R13" || *it == "R14" || *it == "R15";
      it = kept ? std::next(it) : held_.erase(it);
    }
    return held_.empty();
  }

  const llvm::MCRegisterInfo& registers_;
  const llvm::MCInstrInfo& instructions_;
  bool has_frame_;
  std::set<std::string> held_;
  Fate fate_;
};

}  // namespace

Disassembler::AddressFate Disassembler::fate_of_address(std::span<const std::byte> code, uint64_t offset,
                                                        uint64_t field_end) const {
  constexpr int kWindow = 64;  // instructions
  if (!state_->x86) return power_fate_of_address(code, offset);
  const llvm::ArrayRef<uint8_t> bytes = as_llvm(code);
  constexpr uint8_t kFrame[] = {0x55, 0x48, 0x89, 0xe5};  // push %rbp; mov %rsp,%rbp
  const llvm::ArrayRef<uint8_t> start = bytes.take_front(16);
  const bool has_frame = std::search(start.begin(), start.end(), kFrame, std::end(kFrame)) != start.end();
  AddressTracker tracker(*state_->registers, *state_->instructions, has_frame);
  for (int n = 0; n < kWindow && offset < bytes.size(); ++n) {
    llvm::MCInst inst;
    uint64_t size = 0;
    const auto status = state_->disassembler->getInstruction(inst, size, bytes.slice(offset), 0, llvm::nulls());
    if (status != llvm::MCDisassembler::Success || size == 0) break;
    if (n == 0 ? tracker.begin(inst, offset, field_end, size) : tracker.step(inst, offset)) break;
    offset += size;
  }
  return tracker.fate();
}

namespace {

// The order in which RegisterUse counts them; rsp holds no address that anybody follows.
constexpr std::array<const char*, 15> kGeneral = {"RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "R8",
                                                  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};

uint32_t set_of(std::initializer_list<llvm::StringRef> names) {
  uint32_t result = 0;
  for (size_t i = 0; i < kGeneral.size(); ++i) {
    if (std::find(names.begin(), names.end(), kGeneral[i]) != names.end()) result |= 1U << i;
  }
  return result;
}

}  // namespace

void Disassembler::State::number_registers() {
  general.assign(registers->getNumRegs(), -1);
  whole.assign(registers->getNumRegs(), false);
  if (!x86) return;
  for (unsigned reg = 1; reg < registers->getNumRegs(); ++reg) {
    for (size_t i = 0; i < kGeneral.size(); ++i) {
      if (kGeneral[i] != llvm::StringRef(registers->getName(reg))) continue;
      general[reg] = static_cast<int8_t>(i);
      whole[reg] = true;
      for (llvm::MCSubRegIterator sub(reg, registers.get()); sub.isValid(); ++sub) {
        const llvm::StringRef name = registers->getName(*sub);
        general[*sub] = static_cast<int8_t>(i);
        whole[*sub] = name.startswith("E") || name.endswith("D");  // eax, r8d: the upper half becomes zero
      }
    }
  }
}

Disassembler::RegisterUse Disassembler::registers_of(std::span<const std::byte> code, uint64_t offset) const {
  const State& s = *state_;
  if (!s.x86) return power_registers_of(code, offset);
  RegisterUse use;
  llvm::MCInst inst;
  uint64_t size = 0;
  const auto status = s.disassembler->getInstruction(inst, size, as_llvm(code).slice(offset), offset, llvm::nulls());
  if (status != llvm::MCDisassembler::Success || size == 0) return use;
  const llvm::MCInstrDesc& desc = s.instructions->get(inst.getOpcode());
  const llvm::StringRef name = s.instructions->getName(inst.getOpcode());
  use.known = true;
  use.lea = name.startswith("LEA") && name != "LEAVE" && name != "LEAVE64";
  use.store = desc.mayStore();
  use.call = desc.isCall();
  use.ends = desc.isReturn() || name == "TRAP" || name == "INT3" || name.startswith("UD2");
  use.jumps = desc.isIndirectBranch();
  const unsigned count = inst.getNumOperands();
  use.constant = count > 0 && count <= desc.getNumOperands() && inst.getOperand(count - 1).isImm() &&
                 desc.OpInfo[count - 1].OperandType == llvm::MCOI::OPERAND_IMMEDIATE;
  for (unsigned i = 0; i < count; ++i) {
    const llvm::MCOperand& operand = inst.getOperand(i);
    const bool memory = i < desc.getNumOperands() && desc.OpInfo[i].OperandType == llvm::MCOI::OPERAND_MEMORY;
    use.memory |= memory;
    if (i < desc.getNumDefs()) {
      use.result |= s.bit(operand);
      if (operand.isReg() && operand.getReg() != 0 && s.whole.at(operand.getReg())) use.lost |= s.bit(operand);
    } else {
      (memory ? use.address : use.value) |= s.bit(operand);
    }
  }
  // String instructions load and store through registers that are no operands; others just use them.
  const bool string = name.startswith("MOVS") || name.startswith("CMPS") || name.startswith("SCAS") ||
                      name.startswith("LODS") || name.startswith("STOS") || name.startswith("REP");
  use.implied = s.bits(desc.getImplicitUses());
  if (string) {
    use.address |= use.implied;
    use.implied = 0;
  } else if (use.constant && use.value == 0 && !use.memory && count == 1) {
    // The short forms of arithmetic with a constant work on rax without naming it.
    use.value = std::exchange(use.implied, 0);
    use.result |= s.bits(desc.getImplicitDefs());
  } else {
    use.lost |= s.bits(desc.getImplicitDefs());
  }
  return use;
}

Disassembler::CallRegisters Disassembler::call_registers() const {
  if (!state_->x86) return power_call_registers();
  return {set_of({"RDI", "RSI", "RDX", "RCX", "R8", "R9"}), set_of({"RAX"}),
          set_of({"RBX", "RBP", "R12", "R13", "R14", "R15"})};
}

std::string Disassembler::text(std::span<const std::byte> code, uint64_t offset) const {
  if (offset >= code.size()) return "(end)";
  llvm::MCInst inst;
  uint64_t size = 0;
  const auto status = state_->disassembler->getInstruction(inst, size, as_llvm(code).slice(offset), 0, llvm::nulls());
  if (status != llvm::MCDisassembler::Success) return "(unknown)";
  std::string out;
  llvm::raw_string_ostream stream(out);
  state_->printer->printInst(&inst, 0, "", *state_->subtarget, stream);
  stream.flush();
  for (char& c : out) {
    if (c == '\t') c = ' ';
  }
  return out.empty() || out[0] != ' ' ? out : out.substr(1);
}

}  // namespace klp::elf
