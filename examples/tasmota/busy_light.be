# A busy light for one user of the phone system: a Tasmota light on an ESP32. see docs/tasmota.md.
#
# Unless the bridge and the PBX are both online, and while there is no connection to the broker, it is dim white: it
# never keeps an old colour.

class BusyLight
  var colours, state, bridge, pbx, shown

  def init(base, dn)
    import mqtt
    self.colours = {
      "available": "00FF00", "away": "FFFF00", "do_not_disturb": "0000FF", "ringing": "FF0000",
      "dialing": "FF0000", "on_call": "FF0000", "on_hold": "FFBF00"
    }
    self.shown = ""
    self.forget()
    tasmota.cmd("Fade 0", true)
    tasmota.cmd("BlinkTime 5", true)    # 0.5 s on and 0.5 s off: slow enough not to trigger seizures
    tasmota.cmd("BlinkCount 0", true)   # until something else is shown
    # All three are retained, so they come with every connection; Tasmota renews the subscriptions itself.
    mqtt.subscribe(base + "/users/" + dn + "/state", / topic, idx, payload, raw -> self.set_state(payload))
    mqtt.subscribe(base + "/bridge/state", / topic, idx, payload, raw -> self.set_bridge(payload))
    mqtt.subscribe(base + "/bridge/pbx", / topic, idx, payload, raw -> self.set_pbx(payload))
    tasmota.add_rule("Mqtt#Disconnected", / -> self.forget(), "busy_light")
  end

  def set_state(payload)
    self.state = payload
    self.later()
    return true
  end

  def set_bridge(payload)
    self.bridge = payload
    self.later()
    return true
  end

  def set_pbx(payload)
    self.pbx = payload
    self.later()
    return true
  end

  def forget()
    self.state = "unknown"
    self.bridge = "offline"
    self.pbx = "offline"
    self.later()
  end

  # Tasmota allows no commands while it handles a message or a rule, so they are run shortly afterwards.
  def later()
    tasmota.set_timer(0, / -> self.show())
  end

  def show()
    var state = "unknown"
    if self.bridge == "online" && self.pbx == "online"
      state = self.state
    end
    if state == self.shown
      return
    end
    self.shown = state
    if state == "offline"
      tasmota.cmd("Power1 OFF", true)
    else
      tasmota.cmd("Color1 " + self.colours.find(state, "0D0D0D"), true)   # unknown and anything else: dim white
      tasmota.cmd("Power1 " + (state == "ringing" ? "BLINK" : "ON"), true)
    end
  end
end

busy_light = BusyLight("3cx", "101")    # the bridge's mqtt.base_topic, and the user's number
