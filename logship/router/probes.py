"""Paths that scanners try and people do not. They give a scanner away, and are no missing pages.

Two lists, for two kinds of certainty. Nobody asks for an *exploit* in good faith, whatever the answer. A *probe* is for
software that many sites have: it tells a scanner only where the site has not, which the answer 404 or 410 says. What a
browser asks for by itself (icons), or what an old link may lead to (pages in ASP, a lost picture below wp-content), is
in neither. Written from what the logs of public servers show every day.
"""

from __future__ import annotations

EXPLOITS = (
    # Secrets and repositories, where somebody may have left them.
    "**/.env{,.*,-*,_*,~}",
    "**/.{git,svn,hg,bzr,CVS}/**",
    "**/.{aws,ssh,docker,kube,azure,gnupg}/**",
    "**/.{git-credentials,gitconfig,npmrc,pypirc,htpasswd,netrc,pgpass,my.cnf,DS_Store,bash_history,mysql_history}",
    "**/wp-config.php{.*,~,_*}",
    "**/{id_rsa,id_dsa,id_ecdsa,id_ed25519}",
    "**/etc/{passwd,shadow}",
    "**/proc/self/environ",
    "**/WEB-INF/**",
    # Shells that somebody may have left, and doors that known faults open.
    "**/{alfa,alfanew,c99,c100,r57,wso,b374k,shell,webshell,cmd,0x,x0x,indoxploit,eval-stdin}.php",
    "**/vendor/phpunit/**",
    "**/..;/**",
    "/cgi-bin/{luci,nas_sharing.cgi,webproc,authLogin.cgi,supervisor,bash,test-cgi,php*}{,/**}",
    "/{boaform,boafrm,GponForm,HNAP1,goform}{,/**}",
    "/{_ignition/execute-solution,struts2-showcase,invoker/JMXInvokerServlet,wls-wsat/**,_async/AsyncResponseService}",
    "/{containers/json,v1.[0-9][0-9]/containers/json,druid/indexer/**,solr/admin/**,jmx-console/**,web-console/**}",
    "/actuator/{env,heapdump,gateway/**,jolokia/**}",
    "/{owa/auth/x.js,autodiscover/autodiscover.json,ecp/Current/exporttool/**,mgmt/tm/util/bash,tmui/**}",
    "/{dana-na,+CSCOT+,+CSCOE+}/**",
    "/{remote/fgt_lang,geoserver/web,jenkins/script,manager/html,host-manager/html,_profiler/phpinfo}{,/**}",
    "/{SDK/webLanguage,evox/about,Telerik.Web.UI.WebResource.axd}",
)
PROBES = (
    "**/{wp-login,xmlrpc,wp-cron,wp-signup,wp-trackback,wp-config,wp-mail,wp-settings,wp-blog-header,wp-load}.php",
    "**/wp-{admin,includes,content}/**.php",
    "**/wp-admin{,/**}",
    "**/wlwmanifest.xml",
    "**/{phpmyadmin,phpMyAdmin,PMA,pma,myadmin,mysqladmin,dbadmin,sqlmanager,adminer,pgadmin,phppgadmin}{,/**}",
    "**/{adminer,phpinfo,info,test,pi,php,phpversion,phptest,filemanager}.php",
    "/{fckeditor,ckfinder,kcfinder,elfinder}/**",
    "/{backup,backups,bak,dump,database,db,sql,site,www,web,old}.{zip,rar,7z,tar,tar.gz,tgz,gz,sql,sql.gz}",
    "**.{bak,swp,swo,sql}",
    "/{actuator,server-status,server-info,telescope,_profiler,solr}{,/**}",
    "/{owa,ecp,ews,EWS,Microsoft-Server-ActiveSync}{,/**}",
    "/{api/v1/pods,api/jsonws/**,v2/_catalog,_all_dbs,_cat/**}",
)
