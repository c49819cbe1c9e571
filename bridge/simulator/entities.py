"""The entity types of the simulated XAPI, as far as clients read them; names as in the official OpenAPI files.

Properties that the simulator has nothing to say about are there with null, false or 0: a client may select them, and an
unknown name is refused as the PBX does.
"""

from collections.abc import Mapping
from datetime import datetime

from bridge.simulator.odata_types import EntityType

SINCE_20_0_9 = (20, 0, 9)

_DN = {"Id": int, "Number": str, "TranscriptionMode": str}
_CLICK_TO_CALL = {
    **_DN,
    "CallUsEnableChat": bool,
    "CallUsEnablePhone": bool,
    "CallUsEnableVideo": bool,
    "CallUsRequirement": str,
    "ClickToCallId": str,
}


def _all(kind: type, names: str) -> dict[str, type]:
    return dict.fromkeys(names.split(), kind)


def _type(name: str, properties: Mapping[str, type], navigation: Mapping[str, EntityType] | None = None) -> EntityType:
    empty: dict[type, object] = {bool: False, int: 0, list: []}
    defaults = {each: empty[kind] for each, kind in properties.items() if kind in empty}
    return EntityType(f"Pbx.{name}", properties, navigation or {}, defaults)


AGENT = _type("QueueAgent", {"Id": int, "Name": str, "Number": str, "SkillGroup": str, "Tags": list})
MANAGER = _type("QueueManager", {"Id": int, "Name": str, "Number": str, "Tags": list})
MEMBER = _type("RingGroupMember", {"Id": int, "Name": str, "Number": str, "Tags": list})
RIGHTS = _type("Rights", {"RoleName": str, "ShowMyPresence": bool, "ShowMyPresenceOutside": bool})
USER_GROUP = _type(
    "UserGroup",
    {
        **_all(str, "MemberName Name Number TranscriptionMode Type"),
        **_all(int, "GroupId Id"),
        "CanDelete": bool,
        "Tags": list,
    },
    {"Rights": RIGHTS, "GroupRights": RIGHTS},
)
FORWARDING_PROFILE = _type(
    "ForwardingProfile", {"Id": int, "Name": str, "CustomName": str, "CustomMessage": str, "NoAnswerTimeout": int}
)
PHONE = _type("Phone", {"Id": int, **_all(str, "Interface MacAddress Name ProvisioningLinkExt ProvisioningLinkLocal")})

_USER = {
    **_CLICK_TO_CALL,
    **_all(
        str,
        "AccessPassword AuthID AuthPassword Blfs ContactImage CurrentProfileName DeskphonePassword DisplayName "
        "EmailAddress EmergencyAdditionalInfo EmergencyLocationId FirstName HotdeskingAssignment Language LastName "
        "Mobile OutboundCallerID PromptSet QueueStatus SIPID SRTPMode VMEmailOptions VMPIN VMPlayMsgDateTime "
        "WebMeetingFriendlyName",
    ),
    **_all(
        bool,
        "AllowLanOnly AllowOwnRecordings CallScreening DatevEnabled Enable2FA Enabled EnableHotdesking "
        "GoogleCalendarEnabled GoogleContactsEnabled GoogleSignInEnabled HideInPhonebook Internal IsRegistered "
        "MS365CalendarEnabled MS365ContactsEnabled MS365SignInEnabled MS365TeamsEnabled MyPhoneAllowDeleteRecordings "
        "MyPhoneHideForwardings MyPhonePush MyPhoneShowRecordings PbxDeliversAudio PinProtected RecordCalls "
        "RecordEmailNotify RecordExternalCallsOnly Require2FA SendEmailMissedCalls VMDisablePinAuth VMEnabled "
        "VMPlayCallerID WebMeetingApproveParticipants",
    ),
    **_all(int, "PinProtectTimeout PrimaryGroupId"),
    **_all(list, "OfficeHoursProps Tags"),
}
_USER_RELATIONS = {
    "Groups": USER_GROUP,
    "ForwardingProfiles": FORWARDING_PROFILE,
    "Phones": PHONE,
    "Greetings": _type("Greeting", {"Type": str, "DisplayName": str, "Filename": str}),
    "ForwardingExceptions": _type("ExtensionRule", {"Id": int, "CallerId": str}),
}
_USER_BEFORE_20_0_9 = _type("User", _USER, _USER_RELATIONS)
_USER_NOW = _type("User", _USER | _all(bool, "AIAgent BlockTunnel ForbidRecording"), _USER_RELATIONS)

QUEUE = _type(
    "Queue",
    {
        **_CLICK_TO_CALL,
        **_all(str, "GreetingFile IntroFile Name OnHoldFile PollingStrategy PromptSet Recording VMEmailList"),
        **_all(int, "AnnouncementInterval MasterTimeout MaxCallersInQueue RingTimeout SLATime WrapUpTime"),
        **_all(bool, "AnnounceQueuePosition EnableIntro IsRegistered PlayFullPrompt PriorityQueue"),
    },
    {"Agents": AGENT, "Managers": MANAGER, "Groups": USER_GROUP},
)
RING_GROUP = _type(
    "RingGroup",
    {
        **_CLICK_TO_CALL,
        **_all(str, "GreetingFile MulticastAddress MulticastCodec Name RingStrategy VMEmailList VMEmailOptions"),
        **_all(int, "MulticastPacketTime MulticastPort RingTime"),
        "IsRegistered": bool,
    },
    {"Members": MEMBER, "Groups": USER_GROUP},
)
TRUNK = _type(
    "Trunk",
    {
        **_DN,
        **_all(str, "AuthID ConfigurationIssue Direction E164CountryCode ExternalNumber OutboundCallerID ScriptName"),
        **_all(bool, "EnableInboundCalls EnableOutboundCalls IsOnline TunnelEnabled UseSeparateAuthId"),
        **_all(list, "DidNumbers Tags"),
        "SimultaneousCalls": int,
    },
    {"Groups": USER_GROUP},
)
"""Without a `Name`, which hides in its gateway."""
GROUP = _type(
    "Group",
    {
        **_CLICK_TO_CALL,
        **_all(str, "CurrentGroupHours CustomPrompt Language MusicOnHold Name PromptSet TimeZoneId"),
        **_all(bool, "AllowCallService DisableCustomPrompt GloballyVisible HasMembers IsDefault OverrideHolidays"),
        **_all(datetime, "LastLoginTime OverrideExpiresAt"),
        "AnswerAfter": int,
    },
    {"Members": USER_GROUP, "Rights": RIGHTS, "Groups": USER_GROUP},
)
ACTIVE_CALL = _type(
    "ActiveCall",
    {
        "Id": int,
        **_all(str, "Caller Callee Status"),
        **_all(datetime, "EstablishedAt LastChangeStatus ServerNow"),
    },
)
DEFS = _type(
    "Defs",
    {"Id": int},
    {
        "TimeZones": _type("TimeZone", {"Id": str, "Name": str, "IanaName": str, "WindowsName": str}),
        "Codecs": _type("Codec", {"Id": int, "Name": str, "RfcName": str}),
        "GatewayParameters": _type("GatewayParameter", {"Id": int, "Name": str}),
        "GatewayParameterValues": _type("GatewayParameterValue", {"Id": int, "Name": str, "Description": str}),
    },
)

_STATUS = {
    **_all(
        str,
        "AvailableLocalIps CurrentLocalIp FQDN Ip IpV4 IpV6 LicenseKey OS ProductCode RemoteStorageStatus ResellerName "
        "Version",
    ),
    **_all(
        bool,
        "Activated AutoUpdateEnabled BackupScheduled DBMaintenanceInProgress HasNotRunningServices "
        "HasUnregisteredSystemExtensions IsAuditLogEnabled IsChatLogEnabled IsRecordingArchiveEnabled LicenseActive "
        "LocalIpValid RecordingQuotaReached RecordingStopped RemoteConfigurationRequired RemoteStorageEnabled Support "
        "VoicemailQuotaReached VoicemailStopped",
    ),
    **_all(
        int,
        "CallsActive ChatUsedSpace DiskUsage ExtensionsRegistered ExtensionsTotal FreeDiskSpace Id LogUsedSpace "
        "MaxSimCalls OutboundRules RecordingQuota RecordingUsedSpace TotalDiskSpace TrunksRegistered TrunksTotal",
    ),
    **_all(datetime, "ExpirationDate LastBackupDateTime LastCheckForUpdates LastSuccessfulUpdate MaintenanceExpiresAt"),
}
_STATUS_BEFORE_20_0_9 = _type("SystemStatus", _STATUS)
_STATUS_NOW = _type("SystemStatus", _STATUS | _all(int, "MaxUserExtensions UserExtensions"))

MONITORING_STATE = EntityType("Pbx.MonitoringState", {"DN": str, "Expiration": int})
EXTENDED_MONITORING_STATE = EntityType("Pbx.MonitoringState", {"DN": str, "Expiration": int, "State": str, "Name": str})
"""As no one has seen it: with a state word, which some builds or proxies may add."""


def user(build: tuple[int, ...]) -> EntityType:
    """AIAgent is known since 20.0.9."""
    return _USER_NOW if build >= SINCE_20_0_9 else _USER_BEFORE_20_0_9


def system_status(build: tuple[int, ...]) -> EntityType:
    """The numbers of user extensions are known since 20.0.9."""
    return _STATUS_NOW if build >= SINCE_20_0_9 else _STATUS_BEFORE_20_0_9
